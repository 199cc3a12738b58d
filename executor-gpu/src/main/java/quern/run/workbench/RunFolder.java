package quern.run.workbench;

import java.io.Serializable;

/** Names of a run's own files, relative to the output. */
public record RunFolder(String id) implements Serializable {
    /** Below which all runs keep their files. */
    public static final String ROOT = "_quern/";

    public String root() {
        return ROOT + id + "/";
    }

    /** The plan as it was printed, for people. */
    public String plan() {
        return root() + "plan.txt";
    }

    /** A copy of the source, where executors do not see the source itself. */
    public String source() {
        return root() + "source/";
    }

    public String tokens(int part) {
        return root() + "tokens/part-%05d.arrow".formatted(part);
    }

    public String activations(int layer) {
        return root() + "activations/layer-%04d/".formatted(layer);
    }

    public String activations(int layer, int part) {
        return activations(layer) + "part-%05d.arrow".formatted(part);
    }

    /** Hessians that wait for others of their layer. */
    public String hessians() {
        return root() + "hessians/";
    }

    /** @param round of further tokens that it holds, too; 0 for none */
    public String hessian(int layer, int site, int round) {
        return hessians() + "layer-%04d-site-%04d-round-%d.arrow".formatted(layer, site, round);
    }

    /** What the transform was fitted to: a file for each site, until all is written. */
    public String vectors() {
        return root() + "vectors/";
    }

    public String vector(int layer, int site) {
        return vectors() + "layer-%04d-site-%04d.safetensors".formatted(layer, site);
    }

    /** Is there when the transform is fitted to all sites. */
    public String fitted() {
        return root() + "fitted";
    }

    public String piece(int layer, int site) {
        return root() + "pieces/layer-%04d-site-%03d.safetensors".formatted(layer, site);
    }

    public String manifests() {
        return root() + "manifests/";
    }

    public String manifest(int layer, int site) {
        return manifests() + "layer-%04d-site-%03d.json".formatted(layer, site);
    }

    /** What was written of a shard without calibration. */
    public String shard(String file) {
        return root() + "shards/" + file + ".json";
    }
}
