package com.amazonaws.services.lambda.runtime;

/** What a handler is told about its call. The same interface as in aws-lambda-java-core. */
public interface Context {
    String getAwsRequestId();

    String getLogGroupName();

    String getLogStreamName();

    String getFunctionName();

    String getFunctionVersion();

    String getInvokedFunctionArn();

    /** Always null on a core. */
    CognitoIdentity getIdentity();

    /** Null where the call has none. A message's topic is {@code getClientContext().getCustom().get("subject")}. */
    ClientContext getClientContext();

    int getRemainingTimeInMillis();

    int getMemoryLimitInMB();

    LambdaLogger getLogger();
}
