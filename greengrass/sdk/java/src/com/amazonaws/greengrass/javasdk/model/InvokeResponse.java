package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;

/** What the other function gave. */
public class InvokeResponse {
    private int statusCode;
    private ByteBuffer payload;
    private String functionErr;

    /** 202 for an Event, 200 otherwise. */
    public int getStatusCode() {
        return statusCode;
    }

    public void setStatusCode(int statusCode) {
        this.statusCode = statusCode;
    }

    /** The result, or the error as JSON; null for an Event. */
    public ByteBuffer getPayload() {
        return payload;
    }

    public void setPayload(ByteBuffer payload) {
        this.payload = payload;
    }

    /** Empty on success, "Handled" or "Unhandled". */
    public String getFunctionErr() {
        return functionErr;
    }

    public void setFunctionErr(String functionErr) {
        this.functionErr = functionErr;
    }
}
