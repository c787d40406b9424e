/* Base64, and as little JSON as the SDK needs. What is answered is the caller's to free; NULL: no memory. */
#ifndef GREENGRASS_TEXT_H
#define GREENGRASS_TEXT_H

#include <stddef.h>

char *base64_encode(const char *text);
/* "" where `text` is no base64. */
char *base64_decode(const char *text);
/* `text` in quotes, as a JSON string. */
char *json_string(const char *text);
/* Whether the JSON object `text` has the member at its top level. */
int json_has_member(const char *text, const char *name);

#endif
