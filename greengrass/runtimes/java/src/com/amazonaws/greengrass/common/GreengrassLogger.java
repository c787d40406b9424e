package com.amazonaws.greengrass.common;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;

/** Writes to the function's log: one pipe for each level, its number in the environment. */
public class GreengrassLogger {
    private static final Map<LogLevel, OutputStream> STREAMS = new EnumMap<>(LogLevel.class);

    public void debug(String message) {
        log(message.getBytes(StandardCharsets.UTF_8), LogLevel.DEBUG);
    }

    public void log(byte[] message, LogLevel level) {
        byte[] line = message;
        if (line.length == 0 || line[line.length - 1] != '\n') {
            line = Arrays.copyOf(line, line.length + 1);
            line[line.length - 1] = '\n';
        }
        synchronized (STREAMS) {
            OutputStream stream = STREAMS.computeIfAbsent(level, GreengrassLogger::open);
            try {
                stream.write(line);
                stream.flush();
            } catch (java.io.IOException error) {
                // The pipe is gone with the core: nobody reads any more.
            }
        }
    }

    private static OutputStream open(LogLevel level) {
        String number = System.getenv("_GG_LOG_FD_" + level.name());
        boolean isError = level.compareTo(LogLevel.WARN) > 0;
        if (number != null) {
            try {
                // Java has no public way to a descriptor by its number.
                FileDescriptor descriptor = new FileDescriptor();
                Field field = FileDescriptor.class.getDeclaredField("fd");
                field.setAccessible(true);
                field.setInt(descriptor, Integer.parseInt(number));
                return new FileOutputStream(descriptor);
            } catch (ReflectiveOperationException | RuntimeException error) {
                // Without the permission (--add-opens java.base/java.io=ALL-UNNAMED) two levels are left.
            }
        }
        return isError ? System.err : System.out;
    }
}
