package com.amazonaws.greengrass.javasdk.model;

/** Asks to delete the shadow of a thing. */
public class DeleteThingShadowRequest {
    private String thingName;

    /** The thing whose shadow is meant. */
    public String getThingName() {
        return thingName;
    }

    public void setThingName(String thingName) {
        this.thingName = thingName;
    }

    public DeleteThingShadowRequest withThingName(String thingName) {
        setThingName(thingName);
        return this;
    }
}
