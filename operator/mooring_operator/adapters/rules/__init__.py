"""The rules that tenants write, evaluated in processes of their own: `docs/design/cel.md` says why."""
