package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;

/** Asks to update the shadow of a thing. */
public class UpdateThingShadowRequest {
    private String thingName;
    private ByteBuffer payload;

    /** The thing whose shadow is meant. */
    public String getThingName() {
        return thingName;
    }

    public void setThingName(String thingName) {
        this.thingName = thingName;
    }

    public UpdateThingShadowRequest withThingName(String thingName) {
        setThingName(thingName);
        return this;
    }

    /** The shadow document, JSON. */
    public ByteBuffer getPayload() {
        return payload;
    }

    public void setPayload(ByteBuffer payload) {
        this.payload = payload;
    }

    public UpdateThingShadowRequest withPayload(ByteBuffer payload) {
        setPayload(payload);
        return this;
    }
}
