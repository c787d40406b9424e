package com.amazonaws.greengrass.javasdk.model;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Date;
import java.util.List;

/** A secret; of secretString and secretBinary one is set. */
public class GetSecretValueResult {
    private String ARN;
    private Date createdDate;
    private String name;
    private ByteBuffer secretBinary;
    private String secretString;
    private String versionId;
    private Collection<String> versionStages;

    public String getARN() {
        return ARN;
    }

    public void setARN(String ARN) {
        this.ARN = ARN;
    }

    public GetSecretValueResult withARN(String ARN) {
        setARN(ARN);
        return this;
    }

    public Date getCreatedDate() {
        return createdDate;
    }

    public void setCreatedDate(Date createdDate) {
        this.createdDate = createdDate;
    }

    public GetSecretValueResult withCreatedDate(Date createdDate) {
        setCreatedDate(createdDate);
        return this;
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }

    public GetSecretValueResult withName(String name) {
        setName(name);
        return this;
    }

    public ByteBuffer getSecretBinary() {
        return secretBinary;
    }

    public void setSecretBinary(ByteBuffer secretBinary) {
        this.secretBinary = secretBinary;
    }

    public GetSecretValueResult withSecretBinary(ByteBuffer secretBinary) {
        setSecretBinary(secretBinary);
        return this;
    }

    public String getSecretString() {
        return secretString;
    }

    public void setSecretString(String secretString) {
        this.secretString = secretString;
    }

    public GetSecretValueResult withSecretString(String secretString) {
        setSecretString(secretString);
        return this;
    }

    public String getVersionId() {
        return versionId;
    }

    public void setVersionId(String versionId) {
        this.versionId = versionId;
    }

    public GetSecretValueResult withVersionId(String versionId) {
        setVersionId(versionId);
        return this;
    }

    public void setVersionStages(Collection<String> versionStages) {
        this.versionStages = versionStages;
    }

    public GetSecretValueResult withVersionStages(Collection<String> versionStages) {
        setVersionStages(versionStages);
        return this;
    }

    public List<String> getVersionStages() {
        return versionStages == null ? null : new ArrayList<>(versionStages);
    }

    public GetSecretValueResult withVersionStages(String... versionStages) {
        return withVersionStages(Arrays.asList(versionStages));
    }
}
