package com.amazonaws.greengrass.javasdk.model;

/** What happens to a message where the queue of one of its targets is full. */
public enum QueueFullPolicy {
    /** As many targets as possible get it. */
    BestEffort("BestEffort"),
    /** All of them get it, or none does and publish throws. */
    AllOrException("AllOrError");

    private final String wire;

    QueueFullPolicy(String wire) {
        this.wire = wire;
    }

    /** As the core reads it. */
    @Override
    public String toString() {
        return wire;
    }
}
