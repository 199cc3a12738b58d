package quern.plan;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import quern.model.Model;

/** A hash of what the bytes depend on: not where the model is, nor on how many machines it is quantized. */
final class PlanId {
    private PlanId() {}

    static String of(
            Model model,
            Planner.Request request,
            List<Plan.Stage> stages,
            List<Plan.SitePlan> sites,
            Plan.Calibration calibration)
            throws IOException {
        ByteBuffer config = model.store()
                .read("config.json", 0, Math.toIntExact(model.store().length("config.json")));
        String configHash = sha256(config);
        StringBuilder facts = new StringBuilder();
        for (Object fact : List.of(
                request.recipe(),
                stages,
                sites,
                calibration,
                request.maxShardBytes(),
                request.machine().deviceType(),
                request.machine().computeType(),
                configHash)) {
            facts.append(fact).append('\n');
        }
        model.tensors().names().stream()
                .sorted()
                .forEach(n -> facts.append(model.tensors().spec(n)).append('\n'));
        return sha256(ByteBuffer.wrap(facts.toString().getBytes(StandardCharsets.UTF_8)))
                .substring(0, 12);
    }

    private static String sha256(ByteBuffer bytes) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(bytes);
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
