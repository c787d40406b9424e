package com.amazonaws.greengrass.javasdk;

/** Makes a LambdaClient. */
public class LambdaClientFactory implements ClientFactory {
    @Override
    public LambdaClient build() {
        return new LambdaClient();
    }
}
