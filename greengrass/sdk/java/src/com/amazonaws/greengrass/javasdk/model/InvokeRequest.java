package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Asks for a call of another function of the group. */
public class InvokeRequest {
    private String functionArn;
    private InvocationType invocationType;
    private String clientContext;
    private ByteBuffer payload;
    private String qualifier;

    public String getFunctionArn() {
        return functionArn;
    }

    public void setFunctionArn(String functionArn) {
        this.functionArn = functionArn;
    }

    public InvokeRequest withFunctionArn(String functionArn) {
        setFunctionArn(functionArn);
        return this;
    }

    /** Whether the result is waited for; RequestResponse where it is not set. */
    public InvocationType getInvocationType() {
        return invocationType;
    }

    public void setInvocationType(InvocationType invocationType) {
        this.invocationType = invocationType;
    }

    public InvokeRequest withInvocationType(InvocationType invocationType) {
        setInvocationType(invocationType);
        return this;
    }

    /** Base64 of a JSON object, or null. */
    public String getClientContext() {
        return clientContext;
    }

    public void setClientContext(String clientContext) {
        this.clientContext = clientContext;
    }

    public InvokeRequest withClientContext(String clientContext) {
        setClientContext(clientContext);
        return this;
    }

    public ByteBuffer getPayload() {
        return payload;
    }

    public void setPayload(ByteBuffer payload) {
        this.payload = payload;
    }

    public InvokeRequest withPayload(ByteBuffer payload) {
        setPayload(payload);
        return this;
    }

    /** Version or alias; used where the ARN has none. */
    public String getQualifier() {
        return qualifier;
    }

    public void setQualifier(String qualifier) {
        this.qualifier = qualifier;
    }

    public InvokeRequest withQualifier(String qualifier) {
        setQualifier(qualifier);
        return this;
    }

    public void setPayload(String payload) {
        setPayload(ByteBuffer.wrap(payload.getBytes(StandardCharsets.UTF_8)));
    }

    public InvokeRequest withPayload(String payload) {
        setPayload(payload);
        return this;
    }
}
