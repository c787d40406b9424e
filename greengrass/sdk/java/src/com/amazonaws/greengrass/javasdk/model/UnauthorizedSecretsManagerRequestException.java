package com.amazonaws.greengrass.javasdk.model;

/** The group does not give this secret to this function. */
public class UnauthorizedSecretsManagerRequestException extends GGSecretsManagerException {
    private static final long serialVersionUID = 1L;

    public UnauthorizedSecretsManagerRequestException(String message) {
        super(message);
    }

    public UnauthorizedSecretsManagerRequestException(String message, Throwable cause) {
        super(message, cause);
    }
}
