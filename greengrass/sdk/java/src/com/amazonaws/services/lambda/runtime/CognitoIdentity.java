package com.amazonaws.services.lambda.runtime;

/** A user of Amazon Cognito. */
public interface CognitoIdentity {
    String getIdentityId();

    String getIdentityPoolId();
}
