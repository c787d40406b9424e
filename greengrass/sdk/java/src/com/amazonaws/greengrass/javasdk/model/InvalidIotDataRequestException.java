package com.amazonaws.greengrass.javasdk.model;

/** The request lacks something, or has what it must not have. */
public class InvalidIotDataRequestException extends GGIotDataException {
    private static final long serialVersionUID = 1L;

    public InvalidIotDataRequestException(String message) {
        super(message);
    }

    public InvalidIotDataRequestException(String message, Throwable cause) {
        super(message, cause);
    }
}
