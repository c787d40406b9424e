package com.amazonaws.greengrass.ipcsdk;

/** A request to the core failed. */
public class IPCException extends Exception {
    private static final long serialVersionUID = 1L;
    private final int status;

    public IPCException(String message, Throwable cause) {
        super(message, cause);
        this.status = 0;
    }

    public IPCException(String message, int status) {
        // Old SDKs show the text of the cause only.
        super(message, new RuntimeException(message));
        this.status = status;
    }

    /** HTTP status of a refusal; 0 where the core could not be asked. */
    public int getStatus() {
        return status;
    }
}
