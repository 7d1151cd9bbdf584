// An identity provider: whoever gives a mail address is that person. Groups are those that GROUPS says, a JSON object by address.
// Its keys are new each time it starts.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const { ISSUER, PORTAL, SECRET, GROUPS } = process.env;
const groups = JSON.parse(GROUPS ?? "{}");

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" };

const provider = new Provider(ISSUER, {
  clients: [{
    client_id: "portal", client_secret: SECRET, redirect_uris: [`${PORTAL}/sign-in/oidc/back`],
    backchannel_logout_uri: `${PORTAL}/sign-in/oidc/logout`, backchannel_logout_session_required: true,
  }],
  features: { backchannelLogout: { enabled: true } },
  // As it comes it asks nobody on this machine, where the portal is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  jwks: { keys: [key] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  cookies: { keys: ["a key for tests"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, email: id, email_verified: !id.startsWith("unverified"), name: `${id.split("@")[0]} of the provider`, groups: groups[id] ?? [],
    }),
  }),
  pkce: { required: () => true },
});
provider.listen(new URL(ISSUER).port, "127.0.0.1", () => console.log("ready"));
