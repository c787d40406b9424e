package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;

/** A message for the group's subscriptions to route. */
public class PublishRequest {
    private String topic;
    private ByteBuffer payload;
    private QueueFullPolicy queueFullPolicy;

    public String getTopic() {
        return topic;
    }

    public void setTopic(String topic) {
        this.topic = topic;
    }

    public PublishRequest withTopic(String topic) {
        setTopic(topic);
        return this;
    }

    public ByteBuffer getPayload() {
        return payload;
    }

    public void setPayload(ByteBuffer payload) {
        this.payload = payload;
    }

    public PublishRequest withPayload(ByteBuffer payload) {
        setPayload(payload);
        return this;
    }

    /** What happens where a target's queue is full; null means BestEffort. */
    public QueueFullPolicy getQueueFullPolicy() {
        return queueFullPolicy;
    }

    public void setQueueFullPolicy(QueueFullPolicy queueFullPolicy) {
        this.queueFullPolicy = queueFullPolicy;
    }

    public PublishRequest withQueueFullPolicy(QueueFullPolicy queueFullPolicy) {
        setQueueFullPolicy(queueFullPolicy);
        return this;
    }
}
