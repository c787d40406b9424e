package com.amazonaws.services.lambda.runtime;

import java.util.Map;

/** What the caller said about itself. */
public interface ClientContext {
    /** Always null on a core. */
    Client getClient();

    Map<String, String> getCustom();

    Map<String, String> getEnvironment();
}
