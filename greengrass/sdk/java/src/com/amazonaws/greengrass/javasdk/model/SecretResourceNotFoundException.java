package com.amazonaws.greengrass.javasdk.model;

/** There is no such secret, or no such version of it. */
public class SecretResourceNotFoundException extends GGSecretsManagerException {
    private static final long serialVersionUID = 1L;

    public SecretResourceNotFoundException(String message) {
        super(message);
    }

    public SecretResourceNotFoundException(String message, Throwable cause) {
        super(message, cause);
    }
}
