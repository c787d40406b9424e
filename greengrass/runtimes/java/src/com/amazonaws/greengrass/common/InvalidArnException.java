package com.amazonaws.greengrass.common;

/** A text is not the ARN of a function. */
public class InvalidArnException extends Exception {
    private static final long serialVersionUID = 1L;

    public InvalidArnException(String message) {
        super(message);
    }
}
