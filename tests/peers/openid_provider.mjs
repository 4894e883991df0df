// A real OpenID provider (oidc-provider), with its pages for logging in and consenting.
//
//   node openid_provider.mjs NODE_MODULES OPTIONS
//
// prints its issuer, and then takes a line for each client: its metadata as JSON.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules, given] = process.argv.slice(2);
const options = JSON.parse(given ?? '{}');
const load = (path) => import(pathToFileURL(`${modules}/oidc-provider/${path}`));
const { default: Provider } = await load('lib/index.js');
const { default: MemoryAdapter } = await load('lib/adapters/memory_adapter.js');

const server = createServer();
await new Promise((listening) => server.listen(options.port ?? 0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  adapter: MemoryAdapter,
  // Whoever says a name is that user.
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of Example`, email: `${id}@example.com`, note: options.note }),
  }),
  claims: { openid: ['sub'], profile: ['name', 'note'], email: ['email'] },
  conformIdTokenClaims: false,
  scopes: ['openid', 'profile', 'email', 'offline_access', 'read'],
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  pkce: { required: () => true },
  ttl: {
    AccessToken: options.lifetime ?? 3600, ClientCredentials: options.lifetime ?? 3600,
    Grant: 3600, IdToken: 3600, Interaction: 600, Session: 3600,
  },
  cookies: { keys: ['a key of the provider'] },
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => (ctx.oidc.params.grant_type === 'client_credentials' ? 'urn:api' : undefined),
      // Tokens for `urn:api` are signed; those for others mean nothing by themselves.
      getResourceServerInfo: (_, audience) => ({
        scope: 'read', audience, accessTokenFormat: audience === 'urn:api' ? 'jwt' : 'opaque',
      }),
    },
    introspection: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // Who shows an ID token is known, and leaves without a question.
      logoutSource: (ctx, form) => {
        const yes = '<button type="submit" form="op.logoutForm" name="logout" value="yes">Yes</button>';
        const leave = "addEventListener('load', () => document.querySelector('button').click())";
        const script = ctx.oidc.entities.IdTokenHint ? `<script>${leave}</script>` : '';
        ctx.body = `<!DOCTYPE html><p>Log out?</p>${form}${yes}${script}`;
      },
    },
    revocation: { enabled: true },
  },
});
provider.on('server_error', (_, error) => console.error(error));
const counts = { refresh: 0, introspection: 0 };
provider.on('grant.success', (ctx) => {
  if (ctx.oidc.params.grant_type === 'refresh_token') counts.refresh += 1;
});
const answer = provider.callback();
server.on('request', (request, response) => {
  if (request.url === '/token/introspection') counts.introspection += 1;
  if (request.url === '/counts') response.end(JSON.stringify(counts));
  else answer(request, response);
});
console.log(issuer);

const clients = new MemoryAdapter('Client');
for await (const line of createInterface({ input: process.stdin })) {
  const client = JSON.parse(line);
  await clients.upsert(client.client_id, client, 3600);
  console.log(client.client_id);
}
process.exit(0);
