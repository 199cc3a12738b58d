package quern.hub;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What a bad line, a bad server and an earlier attempt do to a download. */
class HubDownloadTest extends HubFixture {
    @Test
    void a_broken_connection_goes_on_where_it_stopped() throws IOException {
        hub.cuts.set(7);
        hub.cutAfter = 20_000;
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
        assertThat(hub.requests.stream().filter(r -> r.startsWith("cdn GET"))).hasSize(8);
    }

    @Test
    void what_an_earlier_run_left_is_used() throws IOException {
        Path blobs = Files.createDirectories(folder().resolve("blobs"));
        byte[] all = noise(200_000);
        Files.write(blobs.resolve(FakeHub.sha256(all) + ".incomplete"), java.util.Arrays.copyOf(all, 150_000));
        hub.cutAfter = 60_000; // a body of all bytes would be cut, the rest is not
        hub.cuts.set(100);
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(all);
        assertThat(hub.cuts).hasValue(100);
    }

    @Test
    void a_server_without_ranges_starts_over() throws IOException {
        hub.ignoresRanges = true;
        hub.cuts.set(2);
        hub.cutAfter = 50_000;
        List<Long> done = new CopyOnWriteArrayList<>();
        Path snapshot = client().model("me/model", "main", (n, total) -> done.add(n));
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
        assertThat(done.get(done.size() - 1)).isEqualTo(200_000);
    }

    @Test
    void a_silent_connection_is_a_broken_one() throws IOException {
        hub.cuts.set(1);
        hub.stallsInstead = true;
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
    }

    @Test
    void a_server_that_recovers_is_waited_for_and_one_that_does_not_is_named() throws IOException {
        hub.failing = 3;
        assertThat(client().model("me/model", "main", SILENT)).exists();
        hub.failing = 1000;
        refused(client(), "me/model", "main", "it answers 503");
    }

    @Test
    void a_corrupted_body_is_refused_and_thrown_away() throws IOException {
        hub.corrupts = true;
        refused(client(), "me/model", "main", "model.safetensors", "checksum", FakeHub.sha256(noise(200_000)));
        try (Stream<Path> blobs = Files.list(folder().resolve("blobs"))) {
            assertThat(blobs.filter(
                            b -> Files.isRegularFile(b) && b.toString().contains(FakeHub.sha256(noise(200_000)))))
                    .isEmpty();
        }
        assertThat(folder().resolve("refs/main")).doesNotExist();
        hub.corrupts = false;
        assertThat(client().model("me/model", "main", SILENT).resolve("model.safetensors"))
                .hasBinaryContent(noise(200_000));
    }

    @Test
    void progress_begins_at_nothing_and_ends_at_all() throws IOException {
        List<Long> done = new CopyOnWriteArrayList<>();
        client().model("me/model", "main", (n, total) -> {
            assertThat(total).isEqualTo(200_000);
            done.add(n);
        });
        assertThat(done.get(0)).isZero();
        assertThat(done.get(done.size() - 1)).isEqualTo(200_000);
    }
}
