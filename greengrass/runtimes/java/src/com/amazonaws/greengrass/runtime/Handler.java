package com.amazonaws.greengrass.runtime;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.Arrays;
import java.util.Comparator;

/** The function's method: found by name, called with what its parameters ask for. */
final class Handler {
    private final Object owner;
    private final Method method;
    private final Binding binding;

    /** `name`: package.Class::method, or package.Class for its handleRequest. Runs the class's static initialisers. */
    Handler(String name, boolean isBinary) throws Exception {
        int colons = name.indexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? "handleRequest" : name.substring(colons + 2);
        Class<?> type = Class.forName(className);
        method = Arrays.stream(type.getMethods())
            .filter(found -> found.getName().equals(methodName) && !found.isBridge() && !found.isSynthetic())
            .max(Comparator.comparingInt(Method::getParameterCount).thenComparing(Handler::endsWithContext))
            .orElseThrow(() -> new NoSuchMethodException(className + " has no public method " + methodName));
        if (isBinary && !usesStreams())
            throw new IllegalArgumentException(name + " takes no stream, which functions with binary encoding must");
        boolean isStatic = Modifier.isStatic(method.getModifiers());
        owner = isStatic ? null : type.getDeclaredConstructor().newInstance();
        method.setAccessible(true);
        binding = usesStreams() ? null : Binding.choose();
    }

    private static boolean endsWithContext(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length > 0 && isContext(types[types.length - 1]);
    }

    private static boolean isContext(Class<?> type) {
        return type.getName().equals(LambdaContext.TYPE);
    }

    private boolean usesStreams() {
        return Arrays.stream(method.getParameterTypes())
            .anyMatch(type -> type == InputStream.class || type == OutputStream.class);
    }

    /** What the function gives back; throws what it throws. */
    byte[] call(byte[] event, String invocationId, String clientContext) throws Throwable {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Type[] types = method.getGenericParameterTypes();
        Object[] arguments = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            Class<?> type = method.getParameterTypes()[i];
            if (isContext(type)) arguments[i] = LambdaContext.create(type, invocationId, clientContext);
            else if (type == InputStream.class) arguments[i] = new ByteArrayInputStream(event);
            else if (type == OutputStream.class) arguments[i] = out;
            else arguments[i] = read(event, resolved(types[i]));
        }
        Object result;
        try {
            result = method.invoke(owner, arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
        return usesStreams() ? out.toByteArray() : binding.write(result);
    }

    /** An empty event is none. */
    private Object read(byte[] event, Type type) throws Exception {
        return event.length == 0 ? null : binding.read(event, type);
    }

    /** The I of a class that extends something with a handler of its own, Base<I>. */
    private Type resolved(Type type) {
        if (!(type instanceof TypeVariable) || owner == null) return type;
        for (Class<?> at = owner.getClass(); at != null; at = at.getSuperclass()) {
            Type parent = at.getGenericSuperclass();
            if (!(parent instanceof ParameterizedType)) continue;
            Class<?> raw = (Class<?>) ((ParameterizedType) parent).getRawType();
            for (int i = 0; i < raw.getTypeParameters().length; i++)
                if (raw.getTypeParameters()[i].equals(type))
                    return ((ParameterizedType) parent).getActualTypeArguments()[i];
        }
        return Object.class;
    }
}
