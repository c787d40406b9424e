package com.amazonaws.greengrass.javasdk;

/** Makes a SecretsManagerClient. */
public class SecretsManagerClientFactory implements ClientFactory {
    @Override
    public SecretsManagerClient build() {
        return new SecretsManagerClient();
    }
}
