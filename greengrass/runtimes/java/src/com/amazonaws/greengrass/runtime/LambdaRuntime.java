package com.amazonaws.greengrass.runtime;

import com.amazonaws.greengrass.common.EnvVars;
import com.amazonaws.greengrass.common.GreengrassLogger;
import com.amazonaws.greengrass.common.LogLevel;
import com.amazonaws.greengrass.ipcsdk.IPCException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The Java runtime of a worker: `--handler=package.Class::method`. Loads it, asks for work, posts what it gave. */
public final class LambdaRuntime {
    private static final GreengrassLogger LOGGER = new GreengrassLogger();
    private final Door door = Door.ofWorker();
    private final Handler handler;

    private LambdaRuntime(Handler handler) {
        this.handler = handler;
    }

    public static void main(String[] arguments) {
        String name = null;
        for (String argument : arguments)
            if (argument.startsWith("--handler=")) name = argument.substring("--handler=".length());
        try {
            if (name == null) throw new IllegalArgumentException("--handler=<package.Class::method> is missing");
            new LambdaRuntime(new Handler(name, "binary".equals(System.getenv("ENCODING_TYPE")))).run();
        } catch (IPCException error) {
            log(LogLevel.FATAL, "Lambda runtime failed: " + error.getMessage());
        } catch (Throwable error) {
            log(LogLevel.ERROR, trace(error));
            log(LogLevel.FATAL, "Failed to load handler \"" + name + "\": " + error);
        }
        // Threads of the function must not keep a worker alive that takes no more work.
        Runtime.getRuntime().halt(1);
    }

    private void run() throws IPCException {
        String work = EnvVars.MY_FUNCTION_ARN + "/work";
        for (;;) {
            Door.Answer item = door.exchange("GET", work, Collections.emptyMap(), null);
            String invocationId = item.header("x-amz-invocationid");
            Map<String, String> headers = new LinkedHashMap<>();
            headers.put("X-Amz-InvocationId", invocationId);
            byte[] result;
            try {
                result = handler.call(item.body, invocationId, item.header("x-amz-client-context"));
            } catch (VirtualMachineError error) {
                throw error;
            } catch (Throwable error) {
                log(LogLevel.ERROR, trace(error));
                headers.put("X-Amz-Function-Error", "Handled");
                result = describe(error);
            }
            post(work, headers, result);
        }
    }

    /** What the core refuses (a result that is too large; it tells who asked) costs this item only. */
    private void post(String work, Map<String, String> headers, byte[] result) throws IPCException {
        try {
            door.exchange("POST", work, headers, result);
        } catch (IPCException error) {
            if (error.getStatus() == 0) throw error;
            log(LogLevel.ERROR, "The core refused a result: " + error.getMessage());
        }
    }

    private static byte[] describe(Throwable error) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("errorMessage", String.valueOf(error.getMessage() == null ? error : error.getMessage()));
        fields.put("errorType", error.getClass().getName());
        List<String> stack = new ArrayList<>();
        for (StackTraceElement element : error.getStackTrace()) stack.add(element.toString());
        fields.put("stackTrace", stack);
        return Json.write(fields).getBytes(StandardCharsets.UTF_8);
    }

    private static String trace(Throwable error) {
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text, true));
        return text.toString();
    }

    private static void log(LogLevel level, String text) {
        LOGGER.log(text.getBytes(StandardCharsets.UTF_8), level);
    }
}
