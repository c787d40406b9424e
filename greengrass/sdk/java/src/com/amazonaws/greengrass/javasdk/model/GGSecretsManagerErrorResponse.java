package com.amazonaws.greengrass.javasdk.model;

/** How the secret manager refuses. */
public class GGSecretsManagerErrorResponse {
    private int status;
    private String message;

    /** HTTP's numbers: 400, 401, 404, 500. */
    public int getStatus() {
        return status;
    }

    public void setStatus(int status) {
        this.status = status;
    }

    public String getMessage() {
        return message;
    }

    public void setMessage(String message) {
        this.message = message;
    }
}
