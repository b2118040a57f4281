package ai.winnow.decode;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Requests that wait for a sequence, first come first served. Thread-safe. */
final class RequestQueue {

    private final int capacity;
    private final Deque<Request> waiting = new ArrayDeque<>();
    private boolean closed;

    RequestQueue(int capacity) {
        this.capacity = capacity;
    }

    /** @return whether there was room */
    synchronized boolean offer(Request request) {
        if (closed) {
            throw new IllegalStateException("this decoder is closed");
        }
        if (waiting.size() >= capacity) {
            return false;
        }
        waiting.add(request);
        notifyAll();
        return true;
    }

    /** Takes the first request if there is one and it {@code fits}. Nobody overtakes it: small requests would starve large ones. */
    synchronized @Nullable Request pollIf(Predicate<Request> fits) {
        Request first = waiting.peek();
        return first != null && fits.test(first) ? waiting.poll() : null;
    }

    /** Drops the requests that are {@code over}. */
    synchronized void removeIf(Predicate<Request> over) {
        waiting.removeIf(over);
    }

    synchronized int size() {
        return waiting.size();
    }

    /** Waits until there is a request, or the queue is closed. */
    synchronized void awaitRequest() throws InterruptedException {
        while (waiting.isEmpty() && !closed) {
            wait();
        }
    }

    synchronized boolean isClosed() {
        return closed;
    }

    /** Takes no more requests, and gives those that wait. */
    synchronized List<Request> close() {
        closed = true;
        List<Request> left = new ArrayList<>(waiting);
        waiting.clear();
        notifyAll();
        return left;
    }
}
