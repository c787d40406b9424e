package com.amazonaws.greengrass.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** JSON trees to and from Java objects: public setters, getters and fields; collections, maps, arrays and enums. */
final class Beans {
    private Beans() {}

    static Object toJava(Object tree, Type type) throws Exception {
        if (tree == null) return null;
        if (type instanceof ParameterizedType) {
            ParameterizedType generic = (ParameterizedType) type;
            Type[] parameters = generic.getActualTypeArguments();
            Class<?> raw = (Class<?>) generic.getRawType();
            if (Map.class.isAssignableFrom(raw)) return mapOf(tree, parameters[1]);
            if (Collection.class.isAssignableFrom(raw)) return collectionOf(tree, raw, parameters[0]);
            return toClass(tree, raw);
        }
        if (type instanceof GenericArrayType) return arrayOf(tree, ((GenericArrayType) type).getGenericComponentType());
        return type instanceof Class ? toClass(tree, (Class<?>) type) : tree;
    }

    private static Object toClass(Object tree, Class<?> type) throws Exception {
        if (type.isInstance(tree)) return tree;
        if (type == String.class || type == CharSequence.class) return String.valueOf(scalar(tree, type));
        if (tree instanceof Number) return number((Number) tree, type);
        if (tree instanceof Boolean && (type == boolean.class || type == Boolean.class)) return tree;
        if (type.isEnum()) {
            for (Object constant : type.getEnumConstants())
                if (((Enum<?>) constant).name().equals(tree)) return constant;
            throw wrong(tree, type);
        }
        if (type.isArray()) return arrayOf(tree, type.getComponentType());
        if (Map.class.isAssignableFrom(type)) return mapOf(tree, Object.class);
        if (Collection.class.isAssignableFrom(type)) return collectionOf(tree, type, Object.class);
        if (!(tree instanceof Map)) throw wrong(tree, type);
        return bean((Map<?, ?>) tree, type);
    }

    private static Object bean(Map<?, ?> members, Class<?> type) throws Exception {
        Object bean = type.getDeclaredConstructor().newInstance();
        for (Method setter : type.getMethods()) {
            String name = property(setter, "set");
            if (name == null || setter.getParameterCount() != 1 || !members.containsKey(name)) continue;
            Object value = toJava(members.get(name), setter.getGenericParameterTypes()[0]);
            if (value != null || !setter.getParameterTypes()[0].isPrimitive()) setter.invoke(bean, value);
        }
        for (Field field : type.getFields()) {
            int modifiers = field.getModifiers();
            if (Modifier.isStatic(modifiers) || Modifier.isFinal(modifiers) || !members.containsKey(field.getName()))
                continue;
            Object value = toJava(members.get(field.getName()), field.getGenericType());
            if (value != null || !field.getType().isPrimitive()) field.set(bean, value);
        }
        return bean;
    }

    private static Object number(Number tree, Class<?> type) {
        if (type == int.class || type == Integer.class) return tree.intValue();
        if (type == long.class || type == Long.class) return tree.longValue();
        if (type == double.class || type == Double.class || type == Number.class) return tree.doubleValue();
        if (type == float.class || type == Float.class) return tree.floatValue();
        if (type == short.class || type == Short.class) return tree.shortValue();
        if (type == byte.class || type == Byte.class) return tree.byteValue();
        if (type == java.math.BigDecimal.class) return new java.math.BigDecimal(tree.toString());
        if (type == java.math.BigInteger.class) return new java.math.BigDecimal(tree.toString()).toBigInteger();
        throw wrong(tree, type);
    }

    private static Map<String, Object> mapOf(Object tree, Type valueType) throws Exception {
        if (!(tree instanceof Map)) throw wrong(tree, Map.class);
        Map<String, Object> map = new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) tree).entrySet())
            map.put((String) entry.getKey(), toJava(entry.getValue(), valueType));
        return map;
    }

    private static Collection<Object> collectionOf(Object tree, Class<?> raw, Type itemType) throws Exception {
        if (!(tree instanceof List)) throw wrong(tree, raw);
        Collection<Object> items = Set.class.isAssignableFrom(raw) ? new LinkedHashSet<>() : new ArrayList<>();
        for (Object item : (List<?>) tree) items.add(toJava(item, itemType));
        return items;
    }

    private static Object arrayOf(Object tree, Type itemType) throws Exception {
        if (!(tree instanceof List)) throw wrong(tree, Object[].class);
        List<?> items = (List<?>) tree;
        Object array = Array.newInstance(itemType instanceof Class ? (Class<?>) itemType : Object.class, items.size());
        for (int i = 0; i < items.size(); i++) Array.set(array, i, toJava(items.get(i), itemType));
        return array;
    }

    private static Object scalar(Object tree, Class<?> type) {
        if (tree instanceof Map || tree instanceof List) throw wrong(tree, type);
        return tree;
    }

    private static IllegalArgumentException wrong(Object tree, Class<?> type) {
        String kind = tree instanceof Map ? "an object" : tree instanceof List ? "an array" : "a single value";
        return new IllegalArgumentException("the event has " + kind + " where a " + type.getName() + " is expected");
    }

    static Object toTree(Object value) throws Exception {
        if (value == null || value instanceof String || value instanceof Number || value instanceof Boolean) return value;
        if (value instanceof Enum) return ((Enum<?>) value).name();
        if (value instanceof Map) {
            Map<String, Object> members = new LinkedHashMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet())
                members.put(String.valueOf(entry.getKey()), toTree(entry.getValue()));
            return members;
        }
        List<Object> items = new ArrayList<>();
        if (value instanceof Iterable) {
            for (Object item : (Iterable<?>) value) items.add(toTree(item));
            return items;
        }
        if (value.getClass().isArray()) {
            for (int i = 0; i < Array.getLength(value); i++) items.add(toTree(Array.get(value, i)));
            return items;
        }
        if (value.getClass().getName().startsWith("java.")) return value.toString();
        return membersOf(value);
    }

    private static Map<String, Object> membersOf(Object bean) throws Exception {
        Map<String, Object> members = new LinkedHashMap<>();
        for (Field field : bean.getClass().getFields())
            if (!Modifier.isStatic(field.getModifiers())) members.put(field.getName(), toTree(field.get(bean)));
        for (Method getter : bean.getClass().getMethods()) {
            if (getter.getParameterCount() != 0 || getter.getDeclaringClass() == Object.class) continue;
            String name = property(getter, "get");
            if (name == null && getter.getReturnType() == boolean.class) name = property(getter, "is");
            if (name == null || getter.getReturnType() == void.class) continue;
            getter.setAccessible(true);
            members.put(name, toTree(getter.invoke(bean)));
        }
        return members;
    }

    /** getName → name; null where the method is no such accessor. */
    private static String property(Method method, String prefix) {
        String name = method.getName();
        if (!name.startsWith(prefix) || name.length() == prefix.length() || Modifier.isStatic(method.getModifiers()))
            return null;
        char first = name.charAt(prefix.length());
        if (Character.isLowerCase(first)) return null;
        return Character.toLowerCase(first) + name.substring(prefix.length() + 1);
    }
}
