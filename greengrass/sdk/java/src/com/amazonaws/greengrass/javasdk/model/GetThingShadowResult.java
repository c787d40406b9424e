package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;

/** What the shadow service answered, refusals included: JSON with "code" and "message". */
public class GetThingShadowResult {
    private ByteBuffer payload;

    public ByteBuffer getPayload() {
        return payload;
    }

    public void setPayload(ByteBuffer payload) {
        this.payload = payload;
    }
}
