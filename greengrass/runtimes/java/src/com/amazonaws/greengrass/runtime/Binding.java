package com.amazonaws.greengrass.runtime;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;

/**
 * Event bytes to what a handler takes, and its result to bytes. Functions that bring Jackson along (the Core SDK does) get
 * Jackson, whose annotations they may use; the others get the binding of this runtime.
 */
interface Binding {
    Object read(byte[] json, Type type) throws Exception;

    byte[] write(Object value) throws Exception;

    static Binding choose() {
        try {
            return new Jackson();
        } catch (ReflectiveOperationException | LinkageError error) {
            return new Own();
        }
    }

    /** Without Jackson. */
    final class Own implements Binding {
        @Override
        public Object read(byte[] json, Type type) throws Exception {
            return Beans.toJava(Json.parse(new String(json, StandardCharsets.UTF_8)), type);
        }

        @Override
        public byte[] write(Object value) throws Exception {
            return Json.write(Beans.toTree(value)).getBytes(StandardCharsets.UTF_8);
        }
    }

    /** The function's own Jackson, found by name. */
    final class Jackson implements Binding {
        private final Object mapper;
        private final Method typeOf;
        private final Method read;
        private final Method write;

        Jackson() throws ReflectiveOperationException {
            Class<?> type = Class.forName("com.fasterxml.jackson.databind.ObjectMapper");
            Class<?> javaType = Class.forName("com.fasterxml.jackson.databind.JavaType");
            Class<?> feature = Class.forName("com.fasterxml.jackson.databind.DeserializationFeature");
            mapper = type.getConstructor().newInstance();
            Object unknown = feature.getField("FAIL_ON_UNKNOWN_PROPERTIES").get(null);
            type.getMethod("configure", feature, boolean.class).invoke(mapper, unknown, false);
            typeOf = type.getMethod("constructType", Type.class);
            read = type.getMethod("readValue", byte[].class, javaType);
            write = type.getMethod("writeValueAsBytes", Object.class);
        }

        @Override
        public Object read(byte[] json, Type type) throws Exception {
            return call(read, json, call(typeOf, type));
        }

        @Override
        public byte[] write(Object value) throws Exception {
            return (byte[]) call(write, value);
        }

        private Object call(Method method, Object... arguments) throws Exception {
            try {
                return method.invoke(mapper, arguments);
            } catch (InvocationTargetException error) {
                if (error.getCause() instanceof Exception) throw (Exception) error.getCause();
                throw error;
            }
        }
    }
}
