package com.amazonaws.greengrass.javasdk;

/** Makes an IotDataClient. */
public class IotDataClientFactory implements ClientFactory {
    @Override
    public IotDataClient build() {
        return new IotDataClient();
    }
}
