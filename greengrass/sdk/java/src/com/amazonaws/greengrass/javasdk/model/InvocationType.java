package com.amazonaws.greengrass.javasdk.model;

/** Whether an invocation is waited for. */
public enum InvocationType {
    Event, RequestResponse
}
