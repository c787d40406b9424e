package com.amazonaws.greengrass.runtime;

import com.amazonaws.greengrass.ipcsdk.IPCException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * HTTP to the core, over plain sockets that are kept: the JDK's own client loads hundreds of classes at the start, and
 * sends a POST a second time when it sees fit.
 */
public final class Door {
    private static final String API = "/2016-11-01/functions/";

    private final int port;
    private final String token;
    private final Deque<Connection> idle = new ArrayDeque<>();

    public Door(int port, String token) {
        this.port = port;
        this.token = token;
    }

    /** The door of this worker. */
    public static Door ofWorker() {
        String port = System.getenv("GG_DAEMON_PORT");
        String token = System.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        return new Door(port == null ? 8000 : Integer.parseInt(port), token == null ? "" : token);
    }

    /** An answer with a status of 2xx. */
    public static final class Answer {
        public final int status;
        public final byte[] body;
        private final Map<String, String> headers;

        Answer(int status, Map<String, String> headers, byte[] body) {
            this.status = status;
            this.headers = headers;
            this.body = body;
        }

        /** By its name in lower case; empty where it is absent. */
        public String header(String name) {
            return headers.getOrDefault(name, "");
        }
    }

    /** `path`: the function's ARN and what follows it. Throws where the core refuses or can't be reached. */
    public Answer exchange(String method, String path, Map<String, String> headers, byte[] body) throws IPCException {
        byte[] payload = body == null ? new byte[0] : body;
        StringBuilder head = new StringBuilder(method).append(' ').append(API).append(path)
            .append(" HTTP/1.1\r\nHost: localhost\r\nAuthorization: ").append(token);
        headers.forEach((name, value) -> head.append("\r\n").append(name).append(": ").append(value));
        head.append("\r\nContent-Type: application/octet-stream\r\nContent-Length: ").append(payload.length)
            .append("\r\n\r\n");
        Answer answer;
        try {
            answer = send(head.toString().getBytes(StandardCharsets.ISO_8859_1), payload);
        } catch (IOException error) {
            throw new IPCException("the core could not be asked: " + error.getMessage(), error);
        }
        if (answer.status >= 300) {
            String why = new String(answer.body, StandardCharsets.UTF_8);
            throw new IPCException("HTTP Error " + answer.status + ": " + why, answer.status);
        }
        return answer;
    }

    private Answer send(byte[] head, byte[] body) throws IOException {
        Connection kept = takeIdle();
        if (kept != null) {
            try {
                return talk(kept, head, body);
            } catch (ClosedBefore error) {
                // Closed while it was idle: the request never reached the core.
            }
        }
        return talk(new Connection(port), head, body);
    }

    private Answer talk(Connection connection, byte[] head, byte[] body) throws IOException {
        boolean isDone = false;
        try {
            Answer answer = connection.talk(head, body);
            isDone = !"close".equalsIgnoreCase(answer.header("connection"));
            return answer;
        } finally {
            if (isDone) giveBack(connection);
            else connection.close();
        }
    }

    private synchronized Connection takeIdle() {
        return idle.poll();
    }

    private synchronized void giveBack(Connection connection) {
        idle.push(connection);
    }

    /** No byte of an answer came. */
    private static final class ClosedBefore extends IOException {
        private static final long serialVersionUID = 1L;

        ClosedBefore(Throwable cause) {
            super("the core closed the connection", cause);
        }
    }

    private static final class Connection implements Closeable {
        private final Socket socket;
        private final InputStream in;

        Connection(int port) throws IOException {
            socket = new Socket(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port);
            socket.setTcpNoDelay(true);
            in = new BufferedInputStream(socket.getInputStream(), 16 * 1024);
        }

        Answer talk(byte[] head, byte[] body) throws IOException {
            String statusLine;
            try {
                byte[] all = new byte[head.length + body.length];
                System.arraycopy(head, 0, all, 0, head.length);
                System.arraycopy(body, 0, all, head.length, body.length);
                socket.getOutputStream().write(all);
                statusLine = line();
            } catch (IOException error) {
                throw new ClosedBefore(error);
            }
            Map<String, String> headers = new HashMap<>();
            for (String text = line(); !text.isEmpty(); text = line()) {
                int colon = text.indexOf(':');
                if (colon > 0)
                    headers.put(text.substring(0, colon).toLowerCase(Locale.ROOT), text.substring(colon + 1).trim());
            }
            int length = Integer.parseInt(headers.getOrDefault("content-length", "0"));
            byte[] answer = new byte[length];
            for (int at = 0; at < length;) {
                int got = in.read(answer, at, length - at);
                if (got < 0) throw new EOFException("the core broke off");
                at += got;
            }
            return new Answer(Integer.parseInt(statusLine.split(" ")[1]), headers, answer);
        }

        private String line() throws IOException {
            ByteArrayOutputStream text = new ByteArrayOutputStream(64);
            for (int next = in.read(); next != '\n'; next = in.read()) {
                if (next < 0) throw new EOFException("the core broke off");
                if (next != '\r') text.write(next);
            }
            return text.toString("ISO-8859-1");
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }
}
