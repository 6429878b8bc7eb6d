import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.MessageDigest;
import java.util.HexFormat;

/** Asks by Java's own client; see all.py. */
public class Http {
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (var line = lines.readLine(); line != null; line = lines.readLine()) {
            var parts = line.split("\t");
            var request = HttpRequest.newBuilder(URI.create(parts[1]))
                    .method(parts[0], HttpRequest.BodyPublishers.noBody());
            for (var i = 2; i < parts.length; i++) {
                var header = parts[i].split(": ", 2);
                request.header(header[0], header[1]);
            }
            var told = client.send(request.build(), BodyHandlers.ofByteArray());
            var digest = MessageDigest.getInstance("SHA-256").digest(told.body());
            System.out.println(told.statusCode() + " " + HexFormat.of().formatHex(digest));
        }
    }
}
