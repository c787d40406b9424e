package com.amazonaws.greengrass.javasdk;

import com.amazonaws.greengrass.common.FunctionArnFields;
import com.amazonaws.greengrass.common.InvalidArnException;
import com.amazonaws.greengrass.ipcsdk.DefaultIPCClient;
import com.amazonaws.greengrass.ipcsdk.IPCClient;
import com.amazonaws.greengrass.ipcsdk.IPCException;
import com.amazonaws.greengrass.ipcsdk.WorkResult;
import com.amazonaws.greengrass.javasdk.model.GGLambdaException;
import com.amazonaws.greengrass.javasdk.model.InvalidLambdaRequestException;
import com.amazonaws.greengrass.javasdk.model.InvocationType;
import com.amazonaws.greengrass.javasdk.model.InvokeRequest;
import com.amazonaws.greengrass.javasdk.model.InvokeResponse;
import java.nio.ByteBuffer;

/** Invokes other functions of the group. Safe in every thread. */
public class LambdaClient extends GGClient {
    private final IPCClient ipcClient;

    public LambdaClient() {
        this(new DefaultIPCClient());
    }

    public LambdaClient(IPCClient ipcClient) {
        this.ipcClient = ipcClient;
    }

    /** Throws where the core refuses; an error of the other function is told by getFunctionErr. */
    public InvokeResponse invoke(InvokeRequest request) throws GGLambdaException {
        String arn = targetOf(request);
        boolean isEvent = request.getInvocationType() == InvocationType.Event;
        InvokeResponse response = new InvokeResponse();
        try {
            String type = (isEvent ? InvocationType.Event : InvocationType.RequestResponse).name();
            String id = ipcClient.postWork(arn, type, bytesOf(request.getPayload()), request.getClientContext());
            response.setStatusCode(isEvent ? 202 : 200);
            response.setFunctionErr("");
            if (isEvent) return response;
            WorkResult result = ipcClient.getWorkResult(arn, id);
            response.setPayload(ByteBuffer.wrap(result.getPayload()));
            response.setFunctionErr(result.getFunctionErr());
            return response;
        } catch (IPCException error) {
            throw new GGLambdaException("Failed to invoke " + arn + ": " + error.getMessage(), error);
        }
    }

    private static String targetOf(InvokeRequest request) throws InvalidLambdaRequestException {
        String arn = request.getFunctionArn();
        String qualifier = request.getQualifier();
        try {
            String own = FunctionArnFields.fromString(arn).getQualifier();
            if (qualifier == null || qualifier.isEmpty() || qualifier.equals(own)) return arn;
            if (own == null) return arn + ":" + qualifier;
        } catch (InvalidArnException error) {
            throw new InvalidLambdaRequestException("Invoke Request is invalid: " + error.getMessage(), error);
        }
        throw new InvalidLambdaRequestException(
            "Invoke Request is invalid: the qualifier " + qualifier + " is not the one of " + arn);
    }

    static byte[] bytesOf(ByteBuffer buffer) {
        if (buffer == null) return new byte[0];
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }
}
