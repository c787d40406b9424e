package com.amazonaws.greengrass.runtime;

import com.amazonaws.greengrass.common.EnvVars;
import com.amazonaws.greengrass.common.FunctionArnFields;
import com.amazonaws.greengrass.common.GreengrassLogger;
import com.amazonaws.greengrass.common.InvalidArnException;
import com.amazonaws.greengrass.common.LogLevel;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * AWS Lambda's Context. Its interfaces are the function's own (aws-lambda-java-core in its zip), so that the object is a
 * proxy made for whatever version it brings.
 */
final class LambdaContext {
    static final String TYPE = "com.amazonaws.services.lambda.runtime.Context";

    private LambdaContext() {}

    /** `type`: the interface as the handler knows it. `clientContext`: base64, may be empty. */
    static Object create(Class<?> type, String invocationId, String clientContext) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("getAwsRequestId", invocationId);
        values.put("getInvokedFunctionArn", EnvVars.MY_FUNCTION_ARN);
        values.put("getRemainingTimeInMillis", Integer.MAX_VALUE);
        values.put("getMemoryLimitInMB", (int) (Runtime.getRuntime().maxMemory() >> 20));
        try {
            FunctionArnFields arn = FunctionArnFields.fromString(EnvVars.MY_FUNCTION_ARN);
            values.put("getFunctionName", arn.getName());
            values.put("getFunctionVersion", arn.getQualifier());
            values.put("getLogGroupName", "/aws/lambda/" + arn.getName());
            values.put("getLogStreamName", arn.getQualifier());
        } catch (InvalidArnException error) {
            values.put("getFunctionName", "");
        }
        Map<?, ?> decoded = decode(clientContext);
        values.put("getClientContext", decoded == null ? null : clientContextOf(type, decoded));
        values.put("getLogger", logger(type));
        return proxy(type, values);
    }

    private static Object clientContextOf(Class<?> type, Map<?, ?> decoded) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("getCustom", texts(decoded.get("custom")));
        values.put("getEnvironment", texts(decoded.get("env")));
        return proxy(returnType(type, "getClientContext"), values);
    }

    private static Object logger(Class<?> type) {
        GreengrassLogger logger = new GreengrassLogger();
        InvocationHandler handler = (self, method, arguments) -> {
            if (!method.getName().equals("log") || arguments == null) return objectMethod(self, method, arguments);
            Object message = arguments[0];
            byte[] bytes = message instanceof byte[]
                ? (byte[]) message
                : String.valueOf(message).getBytes(StandardCharsets.UTF_8);
            LogLevel level = LogLevel.INFO;
            for (LogLevel known : LogLevel.values())
                if (arguments.length > 1 && known.name().equals(String.valueOf(arguments[1]))) level = known;
            logger.log(bytes, level);
            return null;
        };
        Class<?> loggerType = returnType(type, "getLogger");
        return Proxy.newProxyInstance(loggerType.getClassLoader(), new Class<?>[] {loggerType}, handler);
    }

    private static Class<?> returnType(Class<?> type, String method) {
        try {
            return type.getMethod(method).getReturnType();
        } catch (NoSuchMethodException error) {
            throw new IllegalStateException(type.getName() + " has no " + method, error);
        }
    }

    private static Object proxy(Class<?> type, Map<String, Object> values) {
        InvocationHandler handler = (self, method, arguments) ->
            method.getDeclaringClass() == Object.class
                ? objectMethod(self, method, arguments)
                : values.get(method.getName());
        return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler);
    }

    private static Object objectMethod(Object self, Method method, Object[] arguments) {
        if (method.getName().equals("equals")) return self == arguments[0];
        if (method.getName().equals("hashCode")) return System.identityHashCode(self);
        return method.getName().equals("toString") ? "Greengrass " + self.getClass().getInterfaces()[0].getName() : null;
    }

    private static Map<?, ?> decode(String clientContext) {
        if (clientContext.isEmpty()) return null;
        try {
            Object value = Json.parse(new String(Base64.getDecoder().decode(clientContext), StandardCharsets.UTF_8));
            return value instanceof Map ? (Map<?, ?>) value : null;
        } catch (IllegalArgumentException error) {
            return null;
        }
    }

    private static Map<String, String> texts(Object value) {
        if (!(value instanceof Map)) return Collections.emptyMap();
        Map<String, String> texts = new LinkedHashMap<>();
        ((Map<?, ?>) value).forEach((name, text) ->
            texts.put((String) name, text instanceof String ? (String) text : Json.write(text)));
        return texts;
    }
}
