package com.amazonaws.services.lambda.runtime;

/** An application of AWS's mobile SDKs. */
public interface Client {
    String getInstallationId();

    String getAppTitle();

    String getAppVersionName();

    String getAppVersionCode();

    String getAppPackageName();
}
