package com.amazonaws.greengrass.javasdk.model;

/** The request lacks something, or has what it must not have. */
public class InvalidSecretsManagerRequestException extends GGSecretsManagerException {
    private static final long serialVersionUID = 1L;

    public InvalidSecretsManagerRequestException(String message) {
        super(message);
    }

    public InvalidSecretsManagerRequestException(String message, Throwable cause) {
        super(message, cause);
    }
}
