package com.amazonaws.greengrass.common;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Parts of a function's ARN; region and account of the system's functions are empty. */
public final class FunctionArnFields {
    private static final Pattern ARN =
        Pattern.compile("arn:(aws[a-zA-Z-]*):lambda:([^:]*):([^:]*):function:([^:]+)(?::([^:]+))?");
    private final Matcher parts;

    private FunctionArnFields(Matcher parts) {
        this.parts = parts;
    }

    public static FunctionArnFields fromString(String arn) throws InvalidArnException {
        Matcher parts = ARN.matcher(arn == null ? "" : arn);
        if (!parts.matches()) throw new InvalidArnException(arn + " is not the ARN of a function");
        return new FunctionArnFields(parts);
    }

    public String getRegion() {
        return parts.group(2);
    }

    public String getAccountId() {
        return parts.group(3);
    }

    public String getName() {
        return parts.group(4);
    }

    /** Version or alias; null where there is none. */
    public String getQualifier() {
        return parts.group(5);
    }
}
