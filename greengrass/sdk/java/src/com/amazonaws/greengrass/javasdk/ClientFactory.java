package com.amazonaws.greengrass.javasdk;

/** Makes a client. */
public interface ClientFactory {
    GGClient build();
}
