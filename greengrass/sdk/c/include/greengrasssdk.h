/*
 * The Greengrass Core SDK for C: what a function that is an executable says to the core. Names, values and layouts are
 * those of AWS's C SDK, so that programs built with either header run with either library.
 *
 *   gg_global_init(0);                      first of all, before any thread
 *   gg_runtime_start(handler, 0);           does not return until the core stops the function
 *
 * Every function answers a gg_error: whether the exchange with the core took place. How the request itself went is in
 * gg_request_result. A gg_request may serve any number of calls, one after the other; each forgets the one before.
 */
#ifndef _GREENGRASS_SDK_H_
#define _GREENGRASS_SDK_H_

#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gg_error {
    GGE_SUCCESS = 0,
    GGE_OUT_OF_MEMORY = 1,
    GGE_INVALID_PARAMETER = 2,
    /** gg_global_init was not called, or it is not the time for this call. */
    GGE_INVALID_STATE = 3,
    /** The core could not be reached, or it broke off. */
    GGE_INTERNAL_FAILURE = 4,
    /** The core asked the process to end (SIGTERM). */
    GGE_TERMINATE = 5,

    GGE_RESERVED_MAX = 6,
    GGE_RESERVED_PAD = 0x7FFFFFFF
} gg_error;

typedef enum gg_request_status {
    GG_REQUEST_SUCCESS = 0,
    /** The target answered with an error of its own; shadow and secret calls: refused, the body says why. */
    GG_REQUEST_HANDLED = 1,
    /** The target ended without an answer (time, memory, crash). */
    GG_REQUEST_UNHANDLED = 2,
    GG_REQUEST_UNKNOWN = 3,
    /** A queue is full: try again later. */
    GG_REQUEST_AGAIN = 4,

    GG_REQUEST_RESERVED_MAX = 5,
    GG_REQUEST_RESERVED_PAD = 0x7FFFFFFF
} gg_request_status;

typedef struct gg_request_result {
    gg_request_status request_status;
} gg_request_result;

typedef struct _gg_request *gg_request;

/** What a handler is told about its call. Both texts live as long as the call. */
typedef struct gg_lambda_context {
    const char *function_arn;
    /** JSON text, for a message {"custom":{"subject":"<topic>"}}; empty where there is none. */
    const char *client_context;
} gg_lambda_context;

typedef enum gg_invoke_type {
    GG_INVOKE_EVENT = 0,
    GG_INVOKE_REQUEST_RESPONSE = 1,

    GG_INVOKE_RESERVED_MAX = 2,
    GG_INVOKE_RESERVED_PAD = 0x7FFFFFFF
} gg_invoke_type;

typedef enum gg_runtime_opt {
    /** The runtime gets a thread of its own, and gg_runtime_start returns at once. */
    GG_RT_OPT_ASYNC = 0x1,
    GG_RT_OPT_RESERVED_PAD = 0x7FFFFFFF
} gg_runtime_opt;

typedef struct gg_invoke_options {
    const char *function_arn;
    /** Base64 of a JSON object, or NULL. */
    const char *customer_context;
    /** Version or alias; used where the ARN has none. */
    const char *qualifier;
    gg_invoke_type type;
    const void *payload;
    size_t payload_size;
} gg_invoke_options;

typedef enum gg_queue_full_policy_options {
    /** As many targets as possible get the message. */
    GG_QUEUE_FULL_POLICY_BEST_EFFORT = 0,
    /** All targets get it, or none does and the status is GG_REQUEST_AGAIN. */
    GG_QUEUE_FULL_POLICY_ALL_OR_ERROR = 1,

    GG_QUEUE_FULL_POLICY_RESERVED_MAX = 2,
    GG_QUEUE_FULL_POLICY_RESERVED_PAD = 0x7FFFFFFF
} gg_queue_full_policy_options;

typedef struct _gg_publish_options *gg_publish_options;

typedef enum gg_log_level {
    GG_LOG_RESERVED_NOTSET = 0,
    GG_LOG_DEBUG = 1,
    GG_LOG_INFO = 2,
    GG_LOG_WARN = 3,
    GG_LOG_ERROR = 4,
    GG_LOG_FATAL = 5,

    GG_LOG_RESERVED_MAX = 6,
    GG_LOG_RESERVED_PAD = 0x7FFFFFFF
} gg_log_level;

/** Reads the environment that the core gave. `opt` must be 0. Before any other call, with one thread only. */
gg_error gg_global_init(uint32_t opt);

/** One record in the function's log; `format` and what follows as for printf. */
gg_error gg_log(gg_log_level level, const char *format, ...);

gg_error gg_request_init(gg_request *ggreq);
gg_error gg_request_close(gg_request ggreq);
/** The next bytes of the last call's answer; call it until `*amount_read` is 0. */
gg_error gg_request_read(gg_request ggreq, void *buffer, size_t buffer_size, size_t *amount_read);

typedef void (*gg_lambda_handler)(const gg_lambda_context *cxt);

/** Calls `handler` for each item of work. Takes SIGTERM over. Returns GGE_TERMINATE when the core ends the function. */
gg_error gg_runtime_start(gg_lambda_handler handler, uint32_t opt);

/* Only in a handler, and in its thread. */

/** The next bytes of the event; call it until `*amount_read` is 0. */
gg_error gg_lambda_handler_read(void *buffer, size_t buffer_size, size_t *amount_read);
/** The result of the call; without one it is empty. */
gg_error gg_lambda_handler_write_response(const void *response, size_t response_size);
/** The call failed: who invoked sees GG_REQUEST_HANDLED and {"errorMessage": …}. */
gg_error gg_lambda_handler_write_error(const char *error_message);

/** A secret that the group gives to the function. `version_id` and `version_stage` may be NULL. */
gg_error gg_get_secret_value(gg_request ggreq, const char *secret_id, const char *version_id,
                             const char *version_stage, gg_request_result *result);

gg_error gg_invoke(gg_request ggreq, const gg_invoke_options *opts, gg_request_result *result);

gg_error gg_publish_options_init(gg_publish_options *opts);
gg_error gg_publish_options_free(gg_publish_options opts);
gg_error gg_publish_options_set_queue_full_policy(gg_publish_options opts, gg_queue_full_policy_options policy);
/** `opts` may be NULL. */
gg_error gg_publish_with_options(gg_request ggreq, const char *topic, const void *payload, size_t payload_size,
                                 const gg_publish_options opts, gg_request_result *result);
gg_error gg_publish(gg_request ggreq, const char *topic, const void *payload, size_t payload_size,
                    gg_request_result *result);

gg_error gg_get_thing_shadow(gg_request ggreq, const char *thing_name, gg_request_result *result);
gg_error gg_update_thing_shadow(gg_request ggreq, const char *thing_name, const char *update_payload,
                                gg_request_result *result);
gg_error gg_delete_thing_shadow(gg_request ggreq, const char *thing_name, gg_request_result *result);

#ifdef __cplusplus
}
#endif

#endif
