#define _GNU_SOURCE
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const char *text) {
    size_t size = strlen(text);
    char *out = malloc((size + 2) / 3 * 4 + 1);
    if (out == NULL) return NULL;
    char *at = out;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)(unsigned char)text[i] << 16;
        if (left > 1) bits |= (uint32_t)(unsigned char)text[i + 1] << 8;
        if (left > 2) bits |= (unsigned char)text[i + 2];
        *at++ = ALPHABET[bits >> 18];
        *at++ = ALPHABET[bits >> 12 & 63];
        *at++ = left > 1 ? ALPHABET[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? ALPHABET[bits & 63] : '=';
    }
    *at = '\0';
    return out;
}

char *base64_decode(const char *text) {
    char *out = malloc(strlen(text) / 4 * 3 + 4);
    if (out == NULL) return NULL;
    char *at = out;
    uint32_t bits = 0;
    int count = 0;
    for (; *text != '\0' && *text != '='; text++) {
        const char *found = strchr(ALPHABET, *text);
        if (found == NULL) {
            at = out;
            break;
        }
        bits = bits << 6 | (uint32_t)(found - ALPHABET);
        if (++count % 4 == 0) {
            *at++ = (char)(bits >> 16);
            *at++ = (char)(bits >> 8);
            *at++ = (char)bits;
        }
    }
    if (count % 4 == 2) *at++ = (char)(bits >> 4);
    if (count % 4 == 3) {
        *at++ = (char)(bits >> 10);
        *at++ = (char)(bits >> 2);
    }
    *at = '\0';
    return out;
}

char *json_string(const char *text) {
    char *out = malloc(strlen(text) * 6 + 3);
    if (out == NULL) return NULL;
    char *at = out;
    *at++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char letter = (unsigned char)*text;
        if (letter == '"' || letter == '\\') *at++ = '\\';
        if (letter < 0x20) at += sprintf(at, "\\u%04x", letter);
        else *at++ = (char)letter;
    }
    *at++ = '"';
    *at = '\0';
    return out;
}

int json_has_member(const char *text, const char *name) {
    size_t length = strlen(name);
    int depth = 0;
    for (; *text != '\0'; text++) {
        if (*text == '{' || *text == '[') depth++;
        else if (*text == '}' || *text == ']') depth--;
        else if (*text == '"') {
            const char *start = ++text;
            while (*text != '\0' && *text != '"') text += *text == '\\' && text[1] != '\0' ? 2 : 1;
            if (*text == '\0') return 0;
            const char *next = text + 1 + strspn(text + 1, " \t\r\n");
            if (depth == 1 && *next == ':' && (size_t)(text - start) == length && memcmp(start, name, length) == 0)
                return 1;
        }
    }
    return 0;
}
