package com.amazonaws.greengrass.common;

/** What the core told the worker about itself and the system's functions. */
public final class EnvVars {
    public static final String MY_FUNCTION_ARN = read("MY_FUNCTION_ARN", "");
    public static final String ROUTER_FUNCTION_ARN =
        read("ROUTER_FUNCTION_ARN", "arn:aws:lambda:::function:GGRouter");
    public static final String SHADOW_FUNCTION_ARN =
        read("SHADOW_FUNCTION_ARN", "arn:aws:lambda:::function:GGShadowService");
    public static final String SECRETS_MANAGER_FUNCTION_ARN =
        read("SECRETS_MANAGER_FUNCTION_ARN", "arn:aws:lambda:::function:GGSecretManager:1");

    private EnvVars() {}

    private static String read(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
