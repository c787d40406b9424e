package com.amazonaws.greengrass.runtime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON text to and from Map, List, String, Number, Boolean and null. */
public final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Throws IllegalArgumentException with the place of what is wrong. */
    public static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.blank();
        if (json.at < text.length()) throw json.wrong("nothing more");
        return value;
    }

    private Object value(int depth) {
        if (depth > 500) throw wrong("fewer levels");
        blank();
        if (at >= text.length()) throw wrong("a value");
        char first = text.charAt(at);
        if (first == '{') return object(depth);
        if (first == '[') return array(depth);
        if (first == '"') return string();
        if (text.startsWith("true", at)) return word(4, Boolean.TRUE);
        if (text.startsWith("false", at)) return word(5, Boolean.FALSE);
        if (text.startsWith("null", at)) return word(4, null);
        return number();
    }

    private Object word(int length, Object value) {
        at += length;
        return value;
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        if (next() == '}') return end(members);
        for (;;) {
            if (next() != '"') throw wrong("a name");
            String name = string();
            if (next() != ':') throw wrong(":");
            at++;
            members.put(name, value(depth + 1));
            char end = next();
            if (end == '}') return end(members);
            if (end != ',') throw wrong(", or }");
            at++;
        }
    }

    private List<Object> array(int depth) {
        List<Object> items = new ArrayList<>();
        at++;
        if (next() == ']') return end(items);
        for (;;) {
            items.add(value(depth + 1));
            char end = next();
            if (end == ']') return end(items);
            if (end != ',') throw wrong(", or ]");
            at++;
        }
    }

    private <T> T end(T value) {
        at++;
        return value;
    }

    private String string() {
        StringBuilder out = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char letter = text.charAt(at);
            if (letter == '"') {
                at++;
                return out.toString();
            }
            if (letter < ' ') break;
            if (letter != '\\') {
                out.append(letter);
                continue;
            }
            if (++at >= text.length()) break;
            char escaped = text.charAt(at);
            int known = "bfnrt".indexOf(escaped);
            if (known >= 0) out.append("\b\f\n\r\t".charAt(known));
            else if (escaped == 'u') {
                if (at + 5 > text.length()) break;
                out.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                at += 4;
            } else if (escaped == '"' || escaped == '\\' || escaped == '/') out.append(escaped);
            else break;
        }
        throw wrong("a string");
    }

    /** Integer, Long or Double, as Jackson has it. */
    private Number number() {
        int start = at;
        while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) at++;
        String digits = text.substring(start, at);
        try {
            if (digits.matches("-?\\d+")) {
                if (digits.length() > 18) return new java.math.BigInteger(digits);
                long number = Long.parseLong(digits);
                if (number == (int) number) return (int) number;
                return number;
            }
            return Double.valueOf(digits);
        } catch (NumberFormatException error) {
            at = start;
            throw wrong("a value");
        }
    }

    private char next() {
        blank();
        return at < text.length() ? text.charAt(at) : '\0';
    }

    private void blank() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }

    private IllegalArgumentException wrong(String expected) {
        return new IllegalArgumentException("not JSON: " + expected + " is expected at character " + at);
    }

    /** Writes what `parse` gives, and arrays' and numbers' other kinds. */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        append(out, value);
        return out.toString();
    }

    private static void append(StringBuilder out, Object value) {
        if (value == null || value instanceof Boolean || value instanceof Number) {
            boolean isNone = value instanceof Double && !Double.isFinite((Double) value);
            out.append(isNone ? "null" : String.valueOf(value));
        } else if (value instanceof Map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                quote(out.append(separator), String.valueOf(entry.getKey()));
                append(out.append(':'), entry.getValue());
                separator = ",";
            }
            out.append(separator.equals("{") ? "{}" : "}");
        } else if (value instanceof Iterable) {
            String separator = "[";
            for (Object item : (Iterable<?>) value) {
                append(out.append(separator), item);
                separator = ",";
            }
            out.append(separator.equals("[") ? "[]" : "]");
        } else quote(out, String.valueOf(value));
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char letter = text.charAt(i);
            if (letter == '"' || letter == '\\') out.append('\\').append(letter);
            else if (letter < ' ') out.append(String.format("\\u%04x", (int) letter));
            else out.append(letter);
        }
        out.append('"');
    }
}
