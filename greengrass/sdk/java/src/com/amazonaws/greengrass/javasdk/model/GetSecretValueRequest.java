package com.amazonaws.greengrass.javasdk.model;

/** Asks for a secret that the group gives to this function. */
public class GetSecretValueRequest {
    private String secretId;
    private String versionId;
    private String versionStage;

    /** Name or ARN. */
    public String getSecretId() {
        return secretId;
    }

    public void setSecretId(String secretId) {
        this.secretId = secretId;
    }

    public GetSecretValueRequest withSecretId(String secretId) {
        setSecretId(secretId);
        return this;
    }

    public String getVersionId() {
        return versionId;
    }

    public void setVersionId(String versionId) {
        this.versionId = versionId;
    }

    public GetSecretValueRequest withVersionId(String versionId) {
        setVersionId(versionId);
        return this;
    }

    /** AWSCURRENT where it is not set. */
    public String getVersionStage() {
        return versionStage;
    }

    public void setVersionStage(String versionStage) {
        this.versionStage = versionStage;
    }

    public GetSecretValueRequest withVersionStage(String versionStage) {
        setVersionStage(versionStage);
        return this;
    }
}
