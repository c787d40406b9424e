/* Requests of a function: invoke, publish, shadows, secrets; and reading what they gave. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "exchange.h"
#include "text.h"

struct _gg_request {
    char *body;
    size_t size;
    size_t read;
};

struct _gg_publish_options {
    gg_queue_full_policy_options policy;
};

static void forget(gg_request request) {
    free(request->body);
    memset(request, 0, sizeof *request);
}

gg_error gg_request_init(gg_request *request) {
    if (request == NULL) return GGE_INVALID_PARAMETER;
    if (!environment.initialized) return GGE_INVALID_STATE;
    *request = calloc(1, sizeof **request);
    return *request == NULL ? GGE_OUT_OF_MEMORY : GGE_SUCCESS;
}

gg_error gg_request_reuse(gg_request request) {
    if (request == NULL) return GGE_INVALID_PARAMETER;
    forget(request);
    return GGE_SUCCESS;
}

gg_error gg_request_close(gg_request request) {
    if (request == NULL) return GGE_INVALID_PARAMETER;
    forget(request);
    free(request);
    return GGE_SUCCESS;
}

gg_error gg_request_read(gg_request request, void *buffer, size_t buffer_size, size_t *amount_read) {
    if (request == NULL || buffer == NULL || amount_read == NULL) return GGE_INVALID_PARAMETER;
    size_t left = request->size - request->read;
    *amount_read = left < buffer_size ? left : buffer_size;
    if (*amount_read > 0) memcpy(buffer, request->body + request->read, *amount_read);
    request->read += *amount_read;
    return GGE_SUCCESS;
}

static gg_request_status status_of(const struct exchange_answer *answer) {
    if (answer->status == 429) return GG_REQUEST_AGAIN;
    if (answer->status < 200 || answer->status >= 300) return GG_REQUEST_UNKNOWN;
    if (*answer->function_error == '\0') return GG_REQUEST_SUCCESS;
    return strcmp(answer->function_error, "Handled") == 0 ? GG_REQUEST_HANDLED : GG_REQUEST_UNHANDLED;
}

static gg_error error_of(enum exchange_result result) {
    return result == EXCHANGE_NO_MEMORY ? GGE_OUT_OF_MEMORY : GGE_INTERNAL_FAILURE;
}

/* Posts work and, where it is wanted, waits for the result; its body becomes the request's. */
static gg_error ask(gg_request request, const char *arn, const char *context, int wants_result, const void *payload,
                    size_t size, gg_request_result *result) {
    forget(request);
    result->request_status = GG_REQUEST_UNKNOWN;
    struct exchange_answer posted, done;
    struct exchange_call call = {.method = "POST", .arn = arn, .suffix = "", .context = context,
        .type = wants_result ? "RequestResponse" : "Event", .body = payload, .body_size = size, .interrupt_fd = -1};
    enum exchange_result outcome = exchange(&call, &posted);
    if (outcome != EXCHANGE_DONE) return error_of(outcome);
    result->request_status = status_of(&posted);
    if (!wants_result || result->request_status != GG_REQUEST_SUCCESS) {
        exchange_free(&posted);
        return GGE_SUCCESS;
    }
    struct exchange_call get = {.method = "GET", .arn = arn, .suffix = "", .invocation_id = posted.invocation_id,
        .interrupt_fd = -1};
    outcome = exchange(&get, &done);
    exchange_free(&posted);
    if (outcome != EXCHANGE_DONE) {
        result->request_status = GG_REQUEST_UNKNOWN;
        return error_of(outcome);
    }
    result->request_status = status_of(&done);
    request->body = done.body;
    request->size = done.body_size;
    done.body = NULL;
    exchange_free(&done);
    return GGE_SUCCESS;
}

gg_error gg_invoke(gg_request request, const gg_invoke_options *options, gg_request_result *result) {
    if (request == NULL || options == NULL || result == NULL || options->function_arn == NULL ||
        (options->payload == NULL && options->payload_size > 0) || options->type >= GG_INVOKE_RESERVED_MAX)
        return GGE_INVALID_PARAMETER;
    /* arn:partition:lambda:region:account:function:name[:qualifier] */
    int colons = 0;
    for (const char *at = options->function_arn; *at != '\0'; at++) colons += *at == ':';
    int add = colons == 6 && options->qualifier != NULL && *options->qualifier != '\0';
    char *arn = NULL;
    if (asprintf(&arn, "%s%s%s", options->function_arn, add ? ":" : "", add ? options->qualifier : "") < 0)
        return GGE_OUT_OF_MEMORY;
    gg_error error = ask(request, arn, options->customer_context, options->type == GG_INVOKE_REQUEST_RESPONSE,
                         options->payload, options->payload_size, result);
    free(arn);
    return error;
}

/* Context {"custom": {"subject": …}} with one more member at its end. */
static char *subject_context(const char *subject, const char *more) {
    char *quoted = json_string(subject);
    char *text = NULL;
    char *encoded = NULL;
    if (quoted != NULL && asprintf(&text, "{\"custom\":{\"subject\":%s%s}}", quoted, more) >= 0) {
        encoded = base64_encode(text);
        free(text);
    }
    free(quoted);
    return encoded;
}

gg_error gg_publish_options_init(gg_publish_options *options) {
    if (options == NULL) return GGE_INVALID_PARAMETER;
    *options = calloc(1, sizeof **options);
    return *options == NULL ? GGE_OUT_OF_MEMORY : GGE_SUCCESS;
}

gg_error gg_publish_options_free(gg_publish_options options) {
    if (options == NULL) return GGE_INVALID_PARAMETER;
    free(options);
    return GGE_SUCCESS;
}

gg_error gg_publish_options_set_queue_full_policy(gg_publish_options options, gg_queue_full_policy_options policy) {
    if (options == NULL || policy >= GG_QUEUE_FULL_POLICY_RESERVED_MAX) return GGE_INVALID_PARAMETER;
    options->policy = policy;
    return GGE_SUCCESS;
}

gg_error gg_publish_with_options(gg_request request, const char *topic, const void *payload, size_t payload_size,
                                 const gg_publish_options options, gg_request_result *result) {
    if (request == NULL || topic == NULL || result == NULL || (payload == NULL && payload_size > 0))
        return GGE_INVALID_PARAMETER;
    int all = options != NULL && options->policy == GG_QUEUE_FULL_POLICY_ALL_OR_ERROR;
    char *context = subject_context(topic, all ? ",\"queueFullPolicy\":\"AllOrError\"" : "");
    if (context == NULL) return GGE_OUT_OF_MEMORY;
    gg_error error = ask(request, environment.router_arn, context, 0, payload, payload_size, result);
    free(context);
    return error;
}

gg_error gg_publish(gg_request request, const char *topic, const void *payload, size_t payload_size,
                    gg_request_result *result) {
    return gg_publish_with_options(request, topic, payload, payload_size, NULL, result);
}

/* Shadow service and secret manager tell a refusal in the body. */
static void find_refusal(gg_request request, gg_request_result *result, const char *code, const char *message) {
    if (result->request_status == GG_REQUEST_SUCCESS && request->body != NULL &&
        json_has_member(request->body, code) && json_has_member(request->body, message))
        result->request_status = GG_REQUEST_HANDLED;
}

static gg_error shadow(gg_request request, const char *thing, const char *operation, const char *payload,
                       gg_request_result *result) {
    if (request == NULL || thing == NULL || payload == NULL || result == NULL) return GGE_INVALID_PARAMETER;
    char *topic = NULL;
    if (asprintf(&topic, "$aws/things/%s/shadow/%s", thing, operation) < 0) return GGE_OUT_OF_MEMORY;
    char *context = subject_context(topic, "");
    free(topic);
    if (context == NULL) return GGE_OUT_OF_MEMORY;
    gg_error error = ask(request, environment.shadow_arn, context, 1, payload, strlen(payload), result);
    free(context);
    find_refusal(request, result, "code", "message");
    return error;
}

gg_error gg_get_thing_shadow(gg_request request, const char *thing_name, gg_request_result *result) {
    return shadow(request, thing_name, "get", "", result);
}

gg_error gg_update_thing_shadow(gg_request request, const char *thing_name, const char *update_payload,
                                gg_request_result *result) {
    return shadow(request, thing_name, "update", update_payload, result);
}

gg_error gg_delete_thing_shadow(gg_request request, const char *thing_name, gg_request_result *result) {
    return shadow(request, thing_name, "delete", "", result);
}

gg_error gg_get_secret_value(gg_request request, const char *secret_id, const char *version_id,
                             const char *version_stage, gg_request_result *result) {
    if (request == NULL || secret_id == NULL || result == NULL) return GGE_INVALID_PARAMETER;
    char *id = json_string(secret_id);
    char *version = json_string(version_id != NULL ? version_id : "");
    char *stage = json_string(version_stage != NULL ? version_stage : "");
    char *text = NULL;
    gg_error error = GGE_OUT_OF_MEMORY;
    if (id && version && stage &&
        asprintf(&text, "{\"SecretId\":%s%s%s%s%s}", id, version_id ? ",\"VersionId\":" : "", version_id ? version : "",
                 version_stage ? ",\"VersionStage\":" : "", version_stage ? stage : "") >= 0) {
        error = ask(request, environment.secrets_arn, NULL, 1, text, strlen(text), result);
        find_refusal(request, result, "Status", "Message");
        free(text);
    }
    free(id);
    free(version);
    free(stage);
    return error;
}
