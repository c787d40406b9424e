package com.amazonaws.greengrass.javasdk;

import com.amazonaws.greengrass.common.EnvVars;
import com.amazonaws.greengrass.javasdk.model.DeleteThingShadowRequest;
import com.amazonaws.greengrass.javasdk.model.DeleteThingShadowResult;
import com.amazonaws.greengrass.javasdk.model.GGIotDataException;
import com.amazonaws.greengrass.javasdk.model.GGLambdaException;
import com.amazonaws.greengrass.javasdk.model.GetThingShadowRequest;
import com.amazonaws.greengrass.javasdk.model.GetThingShadowResult;
import com.amazonaws.greengrass.javasdk.model.InvalidIotDataRequestException;
import com.amazonaws.greengrass.javasdk.model.InvocationType;
import com.amazonaws.greengrass.javasdk.model.InvokeRequest;
import com.amazonaws.greengrass.javasdk.model.PublishRequest;
import com.amazonaws.greengrass.javasdk.model.PublishResult;
import com.amazonaws.greengrass.javasdk.model.UpdateThingShadowRequest;
import com.amazonaws.greengrass.javasdk.model.UpdateThingShadowResult;
import com.amazonaws.greengrass.runtime.Json;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Messages and local shadows. Safe in every thread. */
public class IotDataClient extends GGClient {
    private final LambdaClient lambdaClient;

    public IotDataClient() {
        this(new LambdaClient());
    }

    public IotDataClient(LambdaClient lambdaClient) {
        this.lambdaClient = lambdaClient;
    }

    /** The group's subscriptions decide who gets the message. */
    public PublishResult publish(PublishRequest request) throws GGIotDataException, GGLambdaException {
        require(request.getTopic() != null && !request.getTopic().isEmpty(), "publish needs a topic");
        require(request.getPayload() != null, "publish needs a payload");
        Map<String, Object> custom = new LinkedHashMap<>();
        custom.put("subject", request.getTopic());
        if (request.getQueueFullPolicy() != null)
            custom.put("queueFullPolicy", request.getQueueFullPolicy().toString());
        lambdaClient.invoke(new InvokeRequest()
            .withFunctionArn(EnvVars.ROUTER_FUNCTION_ARN)
            .withInvocationType(InvocationType.Event)
            .withClientContext(contextOf(custom))
            .withPayload(request.getPayload()));
        return new PublishResult();
    }

    public GetThingShadowResult getThingShadow(GetThingShadowRequest request) throws GGIotDataException {
        GetThingShadowResult result = new GetThingShadowResult();
        result.setPayload(shadow(request.getThingName(), "get", ByteBuffer.wrap(new byte[] {'{', '}'})));
        return result;
    }

    public UpdateThingShadowResult updateThingShadow(UpdateThingShadowRequest request) throws GGIotDataException {
        require(request.getPayload() != null, "updateThingShadow needs a payload");
        UpdateThingShadowResult result = new UpdateThingShadowResult();
        result.setPayload(shadow(request.getThingName(), "update", request.getPayload()));
        return result;
    }

    public DeleteThingShadowResult deleteThingShadow(DeleteThingShadowRequest request) throws GGIotDataException {
        DeleteThingShadowResult result = new DeleteThingShadowResult();
        result.setPayload(shadow(request.getThingName(), "delete", ByteBuffer.wrap(new byte[] {'{', '}'})));
        return result;
    }

    private ByteBuffer shadow(String thing, String operation, ByteBuffer payload) throws GGIotDataException {
        require(thing != null && !thing.isEmpty(), operation + "ThingShadow needs the name of a thing");
        String topic = "$aws/things/" + thing + "/shadow/" + operation;
        try {
            return lambdaClient.invoke(new InvokeRequest()
                .withFunctionArn(EnvVars.SHADOW_FUNCTION_ARN)
                .withInvocationType(InvocationType.RequestResponse)
                .withClientContext(contextOf(Collections.singletonMap("subject", topic)))
                .withPayload(payload)).getPayload();
        } catch (GGLambdaException error) {
            throw new GGIotDataException(error.getMessage(), error);
        }
    }

    private static String contextOf(Map<String, ?> custom) {
        String json = Json.write(Collections.singletonMap("custom", custom));
        return Base64.getEncoder().encodeToString(json.getBytes(StandardCharsets.UTF_8));
    }

    private static void require(boolean condition, String otherwise) throws InvalidIotDataRequestException {
        if (!condition) throw new InvalidIotDataRequestException(otherwise);
    }
}
