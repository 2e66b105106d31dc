# What a token of the server `notes` may do: look at itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
