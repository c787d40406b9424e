package com.amazonaws.greengrass.javasdk.model;

/** Asks to get the shadow of a thing. */
public class GetThingShadowRequest {
    private String thingName;

    /** The thing whose shadow is meant. */
    public String getThingName() {
        return thingName;
    }

    public void setThingName(String thingName) {
        this.thingName = thingName;
    }

    public GetThingShadowRequest withThingName(String thingName) {
        setThingName(thingName);
        return this;
    }
}
