package com.amazonaws.greengrass.javasdk;

import com.amazonaws.greengrass.common.EnvVars;
import com.amazonaws.greengrass.javasdk.model.GGLambdaException;
import com.amazonaws.greengrass.javasdk.model.GGSecretsManagerException;
import com.amazonaws.greengrass.javasdk.model.GetSecretValueRequest;
import com.amazonaws.greengrass.javasdk.model.GetSecretValueResult;
import com.amazonaws.greengrass.javasdk.model.InvalidSecretsManagerRequestException;
import com.amazonaws.greengrass.javasdk.model.InvocationType;
import com.amazonaws.greengrass.javasdk.model.InvokeRequest;
import com.amazonaws.greengrass.javasdk.model.SecretResourceNotFoundException;
import com.amazonaws.greengrass.javasdk.model.UnauthorizedSecretsManagerRequestException;
import com.amazonaws.greengrass.runtime.Json;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Secrets that the group gives to this function. Safe in every thread. */
public class SecretsManagerClient extends GGClient {
    private final LambdaClient lambdaClient;

    public SecretsManagerClient() {
        this(new LambdaClient());
    }

    public SecretsManagerClient(LambdaClient lambdaClient) {
        this.lambdaClient = lambdaClient;
    }

    public GetSecretValueResult getSecretValue(GetSecretValueRequest request) throws GGSecretsManagerException {
        if (request.getSecretId() == null)
            throw new InvalidSecretsManagerRequestException("getSecretValue needs the id of a secret");
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("SecretId", request.getSecretId());
        if (request.getVersionId() != null) fields.put("VersionId", request.getVersionId());
        if (request.getVersionStage() != null) fields.put("VersionStage", request.getVersionStage());
        Map<?, ?> answer;
        try {
            ByteBuffer payload = lambdaClient.invoke(new InvokeRequest()
                .withFunctionArn(EnvVars.SECRETS_MANAGER_FUNCTION_ARN)
                .withInvocationType(InvocationType.RequestResponse)
                .withPayload(Json.write(fields))).getPayload();
            answer = (Map<?, ?>) Json.parse(StandardCharsets.UTF_8.decode(payload).toString());
        } catch (GGLambdaException | IllegalArgumentException | ClassCastException error) {
            throw new GGSecretsManagerException("the secret manager could not be asked: " + error.getMessage(), error);
        }
        if (answer.get("Status") instanceof Number && answer.get("Message") != null)
            throw refusal(((Number) answer.get("Status")).intValue(), String.valueOf(answer.get("Message")));
        return resultOf(answer);
    }

    private static GGSecretsManagerException refusal(int status, String message) {
        if (status == 400) return new InvalidSecretsManagerRequestException(message);
        if (status == 401) return new UnauthorizedSecretsManagerRequestException(message);
        if (status == 404) return new SecretResourceNotFoundException(message);
        return new GGSecretsManagerException(message);
    }

    private static GetSecretValueResult resultOf(Map<?, ?> answer) {
        GetSecretValueResult result = new GetSecretValueResult()
            .withARN((String) answer.get("ARN"))
            .withName((String) answer.get("Name"))
            .withVersionId((String) answer.get("VersionId"))
            .withSecretString((String) answer.get("SecretString"));
        if (answer.get("SecretBinary") != null)
            result.setSecretBinary(ByteBuffer.wrap(Base64.getDecoder().decode((String) answer.get("SecretBinary"))));
        if (answer.get("CreatedDate") instanceof Number)
            result.setCreatedDate(new Date(((Number) answer.get("CreatedDate")).longValue()));
        if (answer.get("VersionStages") instanceof List) {
            List<String> stages = new ArrayList<>();
            for (Object stage : (List<?>) answer.get("VersionStages")) stages.add(String.valueOf(stage));
            result.setVersionStages(stages);
        }
        return result;
    }
}
