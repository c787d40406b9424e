/* Set-up from the environment (IPC.md), and the log. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exchange.h"

struct environment environment;

static const char *variable(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : otherwise;
}

gg_error gg_global_init(uint32_t opt) {
    if (opt != 0) return GGE_INVALID_PARAMETER;
    if (environment.initialized) return GGE_SUCCESS;
    static const struct {
        const char *name;
        const char *otherwise;
    } logs[GG_LOG_RESERVED_MAX] = {
        [GG_LOG_DEBUG] = {"_GG_LOG_FD_DEBUG", "1"}, [GG_LOG_INFO] = {"_GG_LOG_FD_INFO", "1"},
        [GG_LOG_WARN] = {"_GG_LOG_FD_WARN", "2"},   [GG_LOG_ERROR] = {"_GG_LOG_FD_ERROR", "2"},
        [GG_LOG_FATAL] = {"_GG_LOG_FD_FATAL", "2"},
    };
    for (int level = GG_LOG_DEBUG; level < GG_LOG_RESERVED_MAX; level++)
        environment.log_fd[level] = atoi(variable(logs[level].name, logs[level].otherwise));
    /* Copies: a function may change its own environment. */
    const char *token = strdup(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""));
    environment.function_arn = strdup(variable("MY_FUNCTION_ARN", ""));
    environment.router_arn = strdup(variable("ROUTER_FUNCTION_ARN", "arn:aws:lambda:::function:GGRouter"));
    environment.shadow_arn = strdup(variable("SHADOW_FUNCTION_ARN", "arn:aws:lambda:::function:GGShadowService"));
    environment.secrets_arn =
        strdup(variable("SECRETS_MANAGER_FUNCTION_ARN", "arn:aws:lambda:::function:GGSecretManager:1"));
    if (!token || !environment.function_arn || !environment.router_arn || !environment.shadow_arn ||
        !environment.secrets_arn)
        return GGE_OUT_OF_MEMORY;
    if (*token == '\0' || *environment.function_arn == '\0') {
        fprintf(stderr, "AWS_CONTAINER_AUTHORIZATION_TOKEN and MY_FUNCTION_ARN are not set: "
                        "the Greengrass core starts this program\n");
        return GGE_INVALID_STATE;
    }
    exchange_configure(atoi(variable("GG_DAEMON_PORT", "8000")), token);
    environment.initialized = 1;
    return GGE_SUCCESS;
}

gg_error gg_log(gg_log_level level, const char *format, ...) {
    if (!environment.initialized) return GGE_INVALID_STATE;
    if (format == NULL || level <= GG_LOG_RESERVED_NOTSET || level >= GG_LOG_RESERVED_MAX)
        return GGE_INVALID_PARAMETER;
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) return GGE_OUT_OF_MEMORY;
    /* One write for one record: lines of threads do not mix. The end of the text is the place of its NUL. */
    if (length == 0 || text[length - 1] != '\n') text[length++] = '\n';
    const char *at = text;
    while (length > 0) {
        ssize_t written = write(environment.log_fd[level], at, (size_t)length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        at += written;
        length -= (int)written;
    }
    free(text);
    return length == 0 ? GGE_SUCCESS : GGE_INTERNAL_FAILURE;
}
