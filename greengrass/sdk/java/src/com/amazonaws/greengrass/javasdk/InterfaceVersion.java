package com.amazonaws.greengrass.javasdk;

/** The interface of the core that this SDK needs. */
public final class InterfaceVersion {
    public static final String INTERFACE_VERSION = "1.5";

    private InterfaceVersion() {}
}
